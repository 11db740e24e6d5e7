package com.example.hrnet.app

import android.util.Log
import androidx.activity.ComponentActivity
import androidx.camera.core.CameraInfoUnavailableException
import androidx.camera.core.CameraSelector
import androidx.camera.core.ImageAnalysis
import androidx.camera.core.ImageProxy
import androidx.camera.core.Preview
import androidx.camera.core.resolutionselector.AspectRatioStrategy
import androidx.camera.core.resolutionselector.ResolutionSelector
import androidx.camera.lifecycle.ProcessCameraProvider
import androidx.camera.view.PreviewView
import androidx.core.content.ContextCompat
import java.util.concurrent.ExecutionException
import java.util.concurrent.Executor

/**
 * The phone's cameras, of which one is shown, and its frames analysed.
 *
 * @param analyze Takes each frame that there is time for, and whether it is the front
 *     camera's; it has to close it.
 * @param executor What runs it.
 */
class Camera(
    private val activity: ComponentActivity,
    private val preview: PreviewView,
    private val executor: Executor,
    private val analyze: (ImageProxy, Boolean) -> Unit
) {
    private var provider: ProcessCameraProvider? = null
    private var analysis: ImageAnalysis? = null
    private var shown: Preview? = null
    private var isFront = false

    /** Whether there are two to choose from. */
    val canSwitch: Boolean
        get() =
            has(CameraSelector.DEFAULT_BACK_CAMERA) && has(CameraSelector.DEFAULT_FRONT_CAMERA)

    /** Starts one, and then tells whether there was any; not to an activity that is gone. */
    fun start(started: (Boolean) -> Unit) {
        val future = ProcessCameraProvider.getInstance(activity)
        val ready = Runnable {
            if (activity.isDestroyed) return@Runnable
            try {
                provider = future.get()
            } catch (error: ExecutionException) {
                Log.w("hrnet", "The cameras cannot be had.", error)
            }
            isFront = !has(CameraSelector.DEFAULT_BACK_CAMERA)
            val isThere = has(selector())
            if (isThere) bind()
            started(isThere)
        }
        future.addListener(ready, ContextCompat.getMainExecutor(activity))
    }

    fun switch() {
        isFront = !isFront
        bind()
    }

    /** Tells the camera how the screen is turned; one of `Surface.ROTATION_0` and so on. */
    fun turn(rotation: Int) {
        analysis?.targetRotation = rotation
        shown?.targetRotation = rotation
    }

    private fun has(selector: CameraSelector) =
        try {
            provider?.hasCamera(selector) ?: false
        } catch (error: CameraInfoUnavailableException) {
            Log.w("hrnet", "The phone does not tell of a camera.", error)
            false
        }

    private fun selector() =
        if (isFront) CameraSelector.DEFAULT_FRONT_CAMERA else CameraSelector.DEFAULT_BACK_CAMERA

    private fun bind() {
        val provider = provider ?: return
        // Both of one shape, so that the overlay lies on the preview.
        val shape = ResolutionSelector.Builder()
            .setAspectRatioStrategy(AspectRatioStrategy.RATIO_4_3_FALLBACK_AUTO_STRATEGY)
            .build()
        val shown = Preview.Builder().setResolutionSelector(shape).build()
        shown.setSurfaceProvider(preview.surfaceProvider)
        val analysis = ImageAnalysis.Builder()
            .setResolutionSelector(shape)
            .setBackpressureStrategy(ImageAnalysis.STRATEGY_KEEP_ONLY_LATEST)
            .setOutputImageFormat(ImageAnalysis.OUTPUT_IMAGE_FORMAT_RGBA_8888)
            .build()
        val isOfFront = isFront
        analysis.setAnalyzer(executor, ImageAnalysis.Analyzer { analyze(it, isOfFront) })
        provider.unbindAll()
        provider.bindToLifecycle(activity, selector(), shown, analysis)
        this.shown = shown
        this.analysis = analysis
    }
}
